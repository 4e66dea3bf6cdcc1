package proxy

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"gatehouse/internal/ratelimit"
)

// perCall sends a token with every call.
type perCall struct{ raw string }

func (p perCall) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	if p.raw == "" {
		return nil, nil
	}
	return map[string]string{"authorization": "Bearer " + p.raw}, nil
}

func (perCall) RequireTransportSecurity() bool { return true }

// grpcWorld is the interop server of gRPC behind a gateway with TLS.
func grpcWorld(t *testing.T, change func(*Options), routes ...*Route) *secured {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(srv, interop.NewTestServer())
	go srv.Serve(ln)
	t.Cleanup(srv.Stop)
	api := &API{Name: "grpc", Upstream: mustURL(t, "http://"+ln.Addr().String()), Protocol: H2C}
	for _, rt := range routes {
		rt.API = api
	}
	s := newSecured(t, change, routes...)
	return s
}

func (s *secured) dialGRPC(raw string) *grpc.ClientConn {
	s.t.Helper()
	creds := credentials.NewTLS(&tls.Config{RootCAs: roots(s.cert), ServerName: "gate.example"})
	conn, err := grpc.NewClient("passthrough:///"+s.addr, grpc.WithTransportCredentials(creds), grpc.WithAuthority("gate.example"),
		grpc.WithPerRPCCredentials(perCall{raw}))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return conn
}

const testService = "POST /grpc.testing.TestService/"

// TestGRPCInterop are the cases that gRPC implementations are held to against each other, with the gateway between client and
// server. A case that fails ends the process and says so.
func TestGRPCInterop(t *testing.T) {
	t.Parallel()
	s := grpcWorld(t, nil, scoped(testService+"{method}", "read"))
	conn := s.dialGRPC(s.token("read"))
	tc := testgrpc.NewTestServiceClient(conn)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, test := range []func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption){
		interop.DoEmptyUnaryCall, interop.DoLargeUnaryCall, interop.DoClientStreaming, interop.DoServerStreaming, interop.DoPingPong,
		interop.DoEmptyStream, interop.DoTimeoutOnSleepingServer, interop.DoCancelAfterBegin, interop.DoCancelAfterFirstResponse,
		interop.DoCustomMetadata, interop.DoStatusCodeAndMessage, interop.DoSpecialStatusMessage,
	} {
		test(ctx, tc)
	}
	interop.DoUnimplementedMethod(ctx, conn)
}

// TestGRPCRefusals: a refusal reaches the client as a status of gRPC, with words for people.
func TestGRPCRefusals(t *testing.T) {
	t.Parallel()
	limit := scoped(testService+"UnaryCall", "read")
	limit.Limits = []Limit{perHour("grpc", 1, ratelimit.ByClient)}
	s := grpcWorld(t, nil, scoped(testService+"EmptyCall", "admin"), limit)
	empty := func(ctx context.Context, c testgrpc.TestServiceClient) error {
		_, err := c.EmptyCall(ctx, &testgrpc.Empty{})
		return err
	}
	unary := func(ctx context.Context, c testgrpc.TestServiceClient) error {
		_, err := c.UnaryCall(ctx, &testgrpc.SimpleRequest{})
		return err
	}
	for _, tt := range []struct {
		name, raw string
		call      func(context.Context, testgrpc.TestServiceClient) error
		code      codes.Code
		words     string
	}{
		{"no token", "", empty, codes.Unauthenticated, "access token"},
		{"no scope", s.token("read"), empty, codes.PermissionDenied, "this route needs admin"},
		{"within the limit", s.token("read"), unary, codes.OK, ""},
		{"over the limit", s.token("read"), unary, codes.ResourceExhausted, "is used up"},
	} {
		err := tt.call(t.Context(), testgrpc.NewTestServiceClient(s.dialGRPC(tt.raw)))
		if st := status.Convert(err); st.Code() != tt.code || !strings.Contains(st.Message(), tt.words) {
			t.Errorf("%s: %v %q, want %v %q", tt.name, st.Code(), st.Message(), tt.code, tt.words)
		}
	}
}
