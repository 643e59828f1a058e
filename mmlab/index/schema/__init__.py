"""What a collection holds: settings of its index, its payload fields and filters on them, its schema."""
