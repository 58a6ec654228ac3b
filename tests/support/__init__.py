"""What the whole-program tests share: one idea a module."""
