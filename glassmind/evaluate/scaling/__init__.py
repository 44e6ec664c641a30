"""Loss against compute over several sizes: ``fit`` (the line), ``page`` (how it is shown)."""
