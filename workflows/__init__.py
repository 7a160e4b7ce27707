"""What goes beyond one request: calls to peers, registration, authorization, commands, start-up."""
