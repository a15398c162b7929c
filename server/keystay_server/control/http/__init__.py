"""
HTTP below the API: bounded requests, problem documents, files, caching.
"""
