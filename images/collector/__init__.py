"""The collector: a lab instrument uploads by FTP, FTPS, SFTP or WebDAV, and the files land in object storage."""
