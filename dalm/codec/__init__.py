"""Entropy coding: likelihoods become files."""
