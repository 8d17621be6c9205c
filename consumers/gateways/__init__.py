"""Orders to venues and back: the only code that can place one."""
