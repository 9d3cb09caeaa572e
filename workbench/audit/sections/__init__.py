"""What a section notebook calls: it hands over tables, and has its checks judged."""
