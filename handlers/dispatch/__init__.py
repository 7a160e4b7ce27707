"""How an HTTP request becomes the call of a handler, and its result a response.

Connexion finds the handler of every operation of the contract; the generated models validate the
request; Flask, behind waitress, serves it.
"""
