"""Calibration files of other tools."""
