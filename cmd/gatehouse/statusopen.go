package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/internal/adminapi"
	"gatehouse/internal/adminclient"
)

// openPage prints the address of the status page, and opens it where there is a browser to open it with.
func openPage(cmd *cobra.Command, client *adminclient.Client) error {
	base, ok := client.URL()
	if !ok {
		return errors.New("a browser can't open a unix socket: forward it to a port (ssh -L 8081:/path/to/admin.sock), or have admin.listen be 127.0.0.1:8081")
	}
	var login adminapi.Login
	if err := client.Post(cmd.Context(), "/api/v1/login", adminapi.LoginRequest{}, &login); err != nil {
		return told(err)
	}
	address := base + login.Path
	fmt.Fprintln(cmd.OutOrStdout(), address)
	if name, args := browser(); name != "" {
		if err := exec.CommandContext(cmd.Context(), name, append(args, address)...).Run(); err == nil {
			return nil
		}
	}
	once := ""
	if !login.Expires.IsZero() {
		once = " It logs in once, within a minute."
	}
	fmt.Fprintln(talk(cmd), "no browser could be opened from here: open the address above yourself."+once)
	return nil
}

// browser is the command that opens an address on this system; "" where nobody would see it.
func browser() (name string, args []string) {
	switch runtime.GOOS {
	case "darwin":
		return "open", nil
	case "windows":
		return "rundll32", []string{"url.dll,FileProtocolHandler"}
	}
	if strings.TrimSpace(os.Getenv("DISPLAY")+os.Getenv("WAYLAND_DISPLAY")) == "" {
		return "", nil
	}
	return "xdg-open", nil
}
