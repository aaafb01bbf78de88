"""Where places to learn come from: one file a layout, all read into the same table of views."""
