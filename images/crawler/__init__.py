"""One bounded, polite crawl: Scrapy fetches, warcio writes, rclone carries it to the object store."""
