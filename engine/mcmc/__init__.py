"""Markov chain Monte Carlo in the plane, for teaching: densities with known answers, three samplers, and what tells whether to trust them.

Pure functions of numpy arrays in float64. Chains of images are the business of the methods that draw them.
"""
