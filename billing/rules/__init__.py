"""Pure rules: values in, values out. No clock, no I/O, no settings; standard library only."""
