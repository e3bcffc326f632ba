"""Faults planted in saved packages: does mlc's own judgement catch them?"""
