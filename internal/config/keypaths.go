package config

// KeyPaths lists every key that this version reads, by its place in config.yaml and in clients.yaml: "server.listen";
// "apis.*.routes[].match" where names of people's own choice (*) and lists ([]) lie on the way. A list and a map that may have
// more than one form are told by all of them.
func KeyPaths() (config, clients []string) {
	return configForm.shape.paths("", nil), clientsForm.shape.paths("", nil)
}

func (s shape) paths(at string, out []string) []string {
	for _, k := range s.keys {
		path := k.name
		if at != "" {
			path = at + "." + k.name
		}
		out = k.shape.paths(path, append(out, path))
	}
	if s.elem != nil {
		path := at + "[]"
		if s.kind == "map" {
			path = at + ".*"
		}
		out = s.elem.paths(path, append(out, path))
	}
	return out
}
