// Command tenanthub-test is all that the test image holds: a few network and process tools in one static program.
//
//	http PORT            answer every request with JSON: pod, node, client, server, method, path, host
//	get URL              print the body; exit code 1 when there is no answer of 2xx
//	tcp HOST PORT        connect; print both ends' addresses
//	echo PORT            a TCP server that sends back what it gets
//	dns NAME             print the name's addresses, one a line
//	sleep [SECONDS]      for ever without a number; ends with 0 on SIGTERM
//	lines COUNT SECONDS  print a numbered line every so often
//	cat [FILE]           the file, or standard input, to standard output
//	env, id, exit CODE
//
// TENANTHUB_TEST_TIMEOUT is how many seconds get, tcp and dns wait, 3 by default.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sort"
	"strconv"
	"syscall"
	"time"
)

type tool struct {
	least int // arguments
	run   func(args []string) error
}

var tools = map[string]tool{
	"http":  {1, serve},
	"get":   {1, get},
	"tcp":   {2, tcp},
	"echo":  {1, echo},
	"dns":   {1, dns},
	"sleep": {0, sleep},
	"lines": {2, lines},
	"cat":   {0, cat},
	"env":   {0, env},
	"id":    {0, id},
	"exit":  {1, exit},
}

func main() {
	args := os.Args[1:]
	if len(args) == 0 {
		args = []string{"sleep"}
	}
	chosen, known := tools[args[0]]
	if !known || len(args)-1 < chosen.least {
		fmt.Fprintf(os.Stderr, "tenanthub-test: no such tool, or too few arguments: %v\n", args)
		os.Exit(2)
	}
	if err := chosen.run(args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "tenanthub-test %s: %v\n", args[0], err)
		os.Exit(1)
	}
}

func timeout() time.Duration {
	return seconds(os.Getenv("TENANTHUB_TEST_TIMEOUT"), 3*time.Second)
}

func seconds(text string, otherwise time.Duration) time.Duration {
	number, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return otherwise
	}
	return time.Duration(number * float64(time.Second))
}

func serve(args []string) error {
	pod := os.Getenv("POD_NAME")
	if pod == "" {
		pod, _ = os.Hostname() // which Kubernetes sets to the pod's name
	}
	answer := func(writer http.ResponseWriter, request *http.Request) {
		client, _, _ := net.SplitHostPort(request.RemoteAddr)
		server, _ := request.Context().Value(http.LocalAddrContextKey).(net.Addr)
		writer.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(writer).Encode(map[string]string{
			"pod": pod, "node": os.Getenv("NODE_NAME"), "client": client, "server": fmt.Sprint(server),
			"method": request.Method, "path": request.URL.RequestURI(), "host": request.Host,
		})
		fmt.Println(request.Method, request.URL.RequestURI(), client)
	}
	server := &http.Server{Addr: ":" + args[0], Handler: http.HandlerFunc(answer), ReadHeaderTimeout: 10 * time.Second}
	return untilTold(server.ListenAndServe)
}

func get(args []string) error {
	client := http.Client{Timeout: timeout()}
	response, err := client.Get(args[0])
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(os.Stdout, response.Body); err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return errors.New(response.Status)
	}
	return nil
}

func tcp(args []string) error {
	connection, err := net.DialTimeout("tcp", net.JoinHostPort(args[0], args[1]), timeout())
	if err != nil {
		return err
	}
	defer connection.Close()
	fmt.Println(connection.LocalAddr(), connection.RemoteAddr())
	return nil
}

func echo(args []string) error {
	listener, err := net.Listen("tcp", ":"+args[0])
	if err != nil {
		return err
	}
	return untilTold(func() error {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return err
			}
			go func() {
				defer connection.Close()
				_, _ = io.Copy(connection, connection)
			}()
		}
	})
}

func dns(args []string) error {
	waiting, cancel := context.WithTimeout(context.Background(), timeout())
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(waiting, args[0])
	if err != nil {
		return err
	}
	sort.Strings(addresses)
	for _, address := range addresses {
		fmt.Println(address)
	}
	return nil
}

func sleep(args []string) error {
	if len(args) == 0 {
		return untilTold(func() error { select {} })
	}
	return untilTold(func() error {
		time.Sleep(seconds(args[0], 0))
		return nil
	})
}

func lines(args []string) error {
	count, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	return untilTold(func() error {
		for number := 1; number <= count; number++ {
			fmt.Println("line", number)
			time.Sleep(seconds(args[1], time.Second))
		}
		return nil
	})
}

// untilTold runs something that may go on for ever; a signal to end is success, as process 1 gets no default action.
func untilTold(run func() error) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	ended := make(chan error, 1)
	go func() { ended <- run() }()
	select {
	case <-signals:
		return nil
	case err := <-ended:
		return err
	}
}

func cat(args []string) error {
	source := os.Stdin
	if len(args) > 0 {
		file, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer file.Close()
		source = file
	}
	_, err := io.Copy(os.Stdout, source)
	return err
}

func env([]string) error {
	variables := os.Environ()
	sort.Strings(variables)
	for _, variable := range variables {
		fmt.Println(variable)
	}
	return nil
}

func id([]string) error {
	fmt.Printf("uid=%d gid=%d\n", os.Getuid(), os.Getgid())
	return nil
}

func exit(args []string) error {
	code, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	os.Exit(code)
	return nil
}
