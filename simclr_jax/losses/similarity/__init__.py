"""The tiled, sharded engine that compares rows with columns, under every loss."""
