"""What many tests share: small data, runs, engines and panes."""
