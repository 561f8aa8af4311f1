module tenanthub.test/tool

go 1.21
