"""
The demo: Keystay in one minute, in a browser, on a server for development.

Start reading in `routes`. The page plays two parts: a client, with the JavaScript
client in `assets/`, and the backend of an application. The backend asks the API's
own operations, below `/demo`, where holding a session takes the place of an API key.
"""
