package config

// What a key is for, and what holds without it, is said once: beside the key, where it is declared. The editor schema,
// `config doc`, the reference in deploy/configuration.md and `config print` are made from that, and a test holds
// config.example.yaml to it.

// said is what is said of a key.
type said struct {
	doc    string // what it is for: whole sentences
	std    string // its default, as YAML; "" where there is none, or none that is fixed: then doc tells it
	from   string // the key whose value holds in place of an absent one, before std; see the method
	sample string // an example, as YAML
}

// says declares what the key is for.
func (k key[T]) says(doc string) key[T] { k.doc = doc; return k }

// otherwise declares the key's default as YAML. For a section, {} means that its own keys have theirs without it.
func (k key[T]) otherwise(std string) key[T] { k.std = std; return k }

// from declares the key whose value holds where this one is absent: from the root, where * is the name that stands there in
// this key's own path; or, after a dot, beside this key.
func (k key[T]) from(path string) key[T] { k.said.from = path; return k }

// such declares an example, as YAML.
func (k key[T]) such(sample string) key[T] { k.sample = sample; return k }

// suchAs shows how a key is written, for a message that misses it; "" where there is no example in one line.
func (k keyShape) suchAs() string {
	if k.sample == "" {
		return ""
	}
	return " — such as " + k.name + ": " + k.sample
}

// choice is a group of keys of which at most one may stand in an object, or exactly one.
type choice struct {
	keys []string
	must bool
}

// oneOf declares that an object has exactly one of the keys. That it is so is for the loader to check, where the values meet.
func (f form[V]) oneOf(keys ...string) form[V] {
	f.shape.choices = append(f.shape.choices[:len(f.shape.choices):len(f.shape.choices)], choice{keys, true})
	return f
}

// atMost declares that an object has at most one of the keys.
func (f form[V]) atMost(keys ...string) form[V] {
	f.shape.choices = append(f.shape.choices[:len(f.shape.choices):len(f.shape.choices)], choice{keys, false})
	return f
}

// like declares a pattern that a text matches, in what RE2 and ECMAScript share. It may match more than the loader takes.
func (f form[V]) like(pattern string) form[V] { f.shape.pattern = pattern; return f }

// hidingQuery declares that the query of a URL may be a secret.
func (f form[V]) hidingQuery() form[V] { f.shape.queryHidden = true; return f }

// named declares the pattern of a map's names.
func (f form[V]) named(pattern string) form[V] { f.shape.names = pattern; return f }

// allows reports whether a key may stand in an object that has others.
func (s shape) allows(key string, has func(string) bool) bool {
	for _, c := range s.choices {
		in, other := false, false
		for _, k := range c.keys {
			in = in || k == key
			other = other || k != key && has(k)
		}
		if in && other {
			return false
		}
	}
	return true
}

// key is the object's key of this name.
func (s shape) key(name string) (keyShape, bool) {
	for _, k := range s.keys {
		if k.name == name {
			return k, true
		}
	}
	return keyShape{}, false
}
