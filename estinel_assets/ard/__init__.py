"""The ARD product line: from tiles and years to analysis-ready arrays and what is made of them."""
