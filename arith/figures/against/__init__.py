"""Figures against something else than digits: leads against scale, reach against loops."""
