"""The real window without a screen: driven, waited for, photographed."""
