"""AttAcc as a device that executes its commands on integers: banks, GEMV units, buffer die, and counters (S1-13).

`AttaccDevice` holds K and V and answers queries; `Channel` executes one stream of commands; `head_stream` writes it.
"""
