"""What document 4 compares SPRINT with, as minimal functional models: which tokens they keep, and what that costs."""
