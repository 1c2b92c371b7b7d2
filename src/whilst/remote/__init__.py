"""Remote lanes: calls that another process or another machine makes, while this process decides everything.

Inputs that may start go out in batches, answers come back one by one. What carries them is a transport.
"""
