"""Dispatch: turns an HTTP request into a call of a handler, and the handler's result into a response.

Connexion finds the handler of every operation of the contract. The generated models validate the request.
Flask serves it, behind waitress.
"""
