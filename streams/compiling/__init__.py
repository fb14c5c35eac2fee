"""From what files say to a pipeline that cannot fail later."""
