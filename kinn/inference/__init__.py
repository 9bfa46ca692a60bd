"""How sure an identification is."""
