"""What every other room uses: shapes, checks, errors, numerics, lookup by name."""
