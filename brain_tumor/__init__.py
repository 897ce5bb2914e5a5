"""Train, evaluate and compare tumour classifiers on brain MRI slices."""
