"""The tables of the database and the functions that read and write them, independent of HTTP."""
