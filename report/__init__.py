"""Reports: pages and tables of what runs achieved, made of plain values; one HTML file holds everything."""
