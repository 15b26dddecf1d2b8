"""Measurements on data, models and losses."""
