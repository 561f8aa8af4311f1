module tenanthub.test/pause

go 1.21
