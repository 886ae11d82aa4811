"""Losses and likelihoods as plain functions of tensors. Nothing here knows a method."""
