"""Networks shared by methods. Nothing here knows a method."""
