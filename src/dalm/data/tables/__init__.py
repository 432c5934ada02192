"""Tables: files of rows as cells, cells as codes, and what each column is."""
