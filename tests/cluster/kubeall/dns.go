package main

import (
	"net"
	"strings"

	"github.com/miekg/dns"
	"github.com/spf13/cobra"
	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/clientcmd"
)

// newDNSCommand serves the names of Services and of the Pods behind headless ones. It knows no
// others and asks nobody, so a name outside fails at once.
func newDNSCommand() *cobra.Command {
	var kubeconfig, listen, domain string
	command := &cobra.Command{Use: "kube-dns", RunE: func(*cobra.Command, []string) error {
		known, err := watchNames(kubeconfig)
		if err != nil {
			return err
		}
		handler := dns.HandlerFunc(func(w dns.ResponseWriter, request *dns.Msg) {
			w.WriteMsg(known.reply(request, ".svc."+dns.Fqdn(domain)))
		})
		failed := make(chan error)
		for _, network := range []string{"udp", "tcp"} {
			go func(network string) { failed <- dns.ListenAndServe(listen, network, handler) }(network)
		}
		return <-failed
	}}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "")
	command.Flags().StringVar(&listen, "listen", ":53", "")
	command.Flags().StringVar(&domain, "domain", "cluster.local", "")
	return command
}

// names is what the API server says of Services and their Endpoints.
type names struct {
	services  corelisters.ServiceLister
	endpoints corelisters.EndpointsLister
}

func watchNames(kubeconfig string) (*names, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	core := factory.Core().V1()
	known := &names{services: core.Services().Lister(), endpoints: core.Endpoints().Lister()}
	core.Services().Informer()
	core.Endpoints().Informer()
	factory.Start(nil)
	factory.WaitForCacheSync(nil)
	return known, nil
}

// answer is what is known of a name: addresses, or another name that it stands for.
type answer struct {
	addresses []string
	alias     string
}

// find looks up [HOST.]SERVICE.NAMESPACE; nil means that there is no such name.
func (known *names) find(name string) *answer {
	labels := strings.Split(name, ".")
	if len(labels) < 2 {
		return nil
	}
	last := len(labels) - 1
	host := strings.Join(labels[:last-1], ".")
	service, err := known.services.Services(labels[last]).Get(labels[last-1])
	headless := err == nil && service.Spec.ClusterIP == v1.ClusterIPNone
	switch {
	case err != nil || (host != "" && !headless):
		return nil
	case service.Spec.Type == v1.ServiceTypeExternalName:
		return &answer{alias: dns.Fqdn(service.Spec.ExternalName)}
	case !headless:
		return &answer{addresses: []string{service.Spec.ClusterIP}}
	}
	addresses := known.pods(service, host)
	if host != "" && len(addresses) == 0 {
		return nil
	}
	return &answer{addresses: addresses}
}

// pods are the addresses of the Pods behind a headless Service: of all, or of that host alone.
func (known *names) pods(service *v1.Service, host string) (addresses []string) {
	endpoints, err := known.endpoints.Endpoints(service.Namespace).Get(service.Name)
	if err != nil {
		return nil
	}
	for _, subset := range endpoints.Subsets {
		for _, address := range subset.Addresses {
			dashed := strings.ReplaceAll(address.IP, ".", "-")
			if host == "" || host == address.Hostname || host == dashed {
				addresses = append(addresses, address.IP)
			}
		}
	}
	return addresses
}

// reply answers a question by what is known.
func (known *names) reply(request *dns.Msg, suffix string) *dns.Msg {
	reply := new(dns.Msg).SetReply(request)
	reply.Authoritative = true
	question := request.Question[0]
	name := strings.ToLower(question.Name)
	var found *answer
	if strings.HasSuffix(name, suffix) {
		found = known.find(strings.TrimSuffix(name, suffix))
	}
	header := dns.RR_Header{Name: question.Name, Class: dns.ClassINET, Ttl: 1}
	switch {
	case found == nil:
		reply.Rcode = dns.RcodeNameError
	case found.alias != "":
		header.Rrtype = dns.TypeCNAME
		reply.Answer = append(reply.Answer, &dns.CNAME{Hdr: header, Target: found.alias})
	case question.Qtype == dns.TypeA || question.Qtype == dns.TypeANY:
		header.Rrtype = dns.TypeA
		for _, address := range found.addresses {
			reply.Answer = append(reply.Answer, &dns.A{Hdr: header, A: net.ParseIP(address)})
		}
	}
	return reply
}
