"""Saved states of DPUs: what they hold, how they become files, and how DPUs get them back (upmem-sdk 1.10 and 2.2).

Loading a state executes nothing: files hold numbers and texts. The program of the DPUs, which is code, is not in them.
"""
