"""Recipes, one file each: paper, command, hardware and expected accuracy."""
