"""From data sets as their owners ship them, or own recordings, to the index and the zip that training reads."""
