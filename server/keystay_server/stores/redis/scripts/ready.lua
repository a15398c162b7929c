#!lua
-- Return what `rights` does. As it may write, Redis refuses it whenever it refuses a login.

return missing()
