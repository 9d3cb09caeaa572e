"""Do the hooks show what the plain model computes?"""
