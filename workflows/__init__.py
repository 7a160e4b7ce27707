"""What goes beyond one request: calls to peers, registration, authorisation, commands, start-up."""
