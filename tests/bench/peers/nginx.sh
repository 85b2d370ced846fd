# nginx.sh — nginx's limit_req with one worker, asked by wrk over eight connections with 32 requests in flight.
#
# Both keep 10,000 buckets in their own memory. What nginx lets through is answered with an empty picture, the least
# that it sends; it is HTTP, which is more than a check needs, and what a caller would have to speak.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with run.sh and what else it sources

source tests/bench/lib/peer.sh

write_nginx_files() {
    cat >"$dir/nginx.conf" <<END
daemon off;
worker_processes 1;
pid $dir/nginx.pid;
error_log $dir/nginx.log crit;
events { worker_connections 256; }
http {
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path $dir/body; proxy_temp_path $dir/proxy; fastcgi_temp_path $dir/fastcgi;
    uwsgi_temp_path $dir/uwsgi; scgi_temp_path $dir/scgi;
    limit_req_zone \$arg_key zone=checks:16m rate=1r/m;
    server {
        listen 127.0.0.1:$nginx_port;
        location / { limit_req zone=checks burst=1000 nodelay; limit_req_status 429; empty_gif; }
    }
}
END
    cat >"$dir/pipeline.lua" <<'END'
-- 32 requests at a time, each for one of 10,000 keys
function request()
    local requests = {}
    for i = 1, 32 do
        requests[i] = "GET /?key=bench:" .. string.format("%018d", math.random(0, 9999)) .. " HTTP/1.1\r\nHost: b\r\n\r\n"
    end
    return table.concat(requests)
end
END
}

ask_nginx() {
    value=$(LD_LIBRARY_PATH=$PWD/$build/peers/lib taskset -c "$other_core" "$wrk" -t 1 -c 8 -d "$MEASURE" \
        -s "$dir/pipeline.lua" "http://127.0.0.1:$nginx_port/" | sed -nE 's/^Requests\/sec: +([0-9.]+).*/\1/p')
    [[ -n $value ]]
}

measure_nginx() {
    local nginx wrk nginx_port
    nginx=$(find_peer nginx)
    wrk=$(find_peer wrk)
    if [[ -z $nginx || -z $wrk ]]; then
        skip_peer 'nginx limit_req'
        return 0
    fi
    nginx_port=$(free_port 22000)
    write_nginx_files
    start_peer nginx "$nginx_port" "$nginx" -c "$dir/nginx.conf" -p "$dir" &&
        start_frontend "$server_core" --quotas tests/bench/quotas.yaml || return
    alternate ask_nginx ask_embedded || return
    ratio_row 'peer nginx limit_req, against the embedded store' - ask_embedded ask_nginx /s "$peer_cores"
}

measure_nginx
