"""Exact data match: the company's own lists (customers, staff, code names) as HMACs, never in clear.

Life of a list: `imprimatur dlp import` normalises each value of the chosen columns, keeps its HMAC and the HMAC of each
pair of values of a row, and forgets the rest. While the gateway runs, the words of a prompt are hashed in the same way
and looked up. Whoever takes the file has neither the values nor, for want of pairs to follow, the rows.
"""
