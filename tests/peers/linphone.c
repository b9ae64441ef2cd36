/* A telephone made of Linphone's engine, for hosts without sound: its own command-line tools ask
 * for a sound card before they open a socket.
 *
 *   linphone FOLDER ADDRESS                answers one call, and ends with it
 *   linphone FOLDER ADDRESS URI NUMBER     calls URI as NUMBER, talks, holds, resumes, hangs up
 *
 * FOLDER/tone.wav is played, FOLDER/heard.wav written. Every state of the call is printed, and at
 * the end what its own receiver counted. SIP is UDP at port 5060 of ADDRESS. */
#include <linphone/api/c-api.h>
#include <linphone/core.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TICK_MS = 20, TALK_MS = 3000, HOLD_MS = 500, LONGEST_MS = 30000 };

static LinphoneCall *current;
static LinphoneCallState now;
static int spoken;

static void changed(LinphoneCore *core, LinphoneCall *call, LinphoneCallState state, const char *why) {
    (void)core;
    now = state;
    printf("STATE %s %s\n", linphone_call_state_to_string(state), why ? why : "");
    if (state == LinphoneCallStateIncomingReceived) {
        current = linphone_call_ref(call);
        linphone_call_accept(call);
    }
    if (state == LinphoneCallStateEnd && spoken) {
        LinphoneCallStats *audio = linphone_call_get_audio_stats(call);
        const rtp_stats_t *counted = audio ? linphone_call_stats_get_rtp_stats(audio) : NULL;
        if (counted)
            printf("AUDIO received=%llu sent=%llu lost=%lld\n",
                   (unsigned long long)counted->packet_recv,
                   (unsigned long long)counted->packet_sent,
                   (long long)counted->cum_packet_loss);
    }
    spoken |= state == LinphoneCallStateStreamsRunning;
}

/* Lets the engine work until the call has that state, or for that long if there is none to await. */
static int run(LinphoneCore *core, LinphoneCallState wanted, int ms) {
    for (int passed = 0; passed < ms; passed += TICK_MS) {
        linphone_core_iterate(core);
        if (wanted != LinphoneCallStateIdle && now == wanted) return 1;
        usleep(TICK_MS * 1000);
    }
    return wanted == LinphoneCallStateIdle;
}

static LinphoneCore *start(const char *folder, const char *address) {
    char path[1024];
    LinphoneFactory *factory = linphone_factory_get();
    linphone_factory_set_data_dir(factory, folder);
    linphone_factory_set_config_dir(factory, folder);
    LinphoneCore *core = linphone_factory_create_core_3(factory, NULL, NULL, NULL);
    LinphoneConfig *config = linphone_core_get_config(core);
    linphone_config_set_string(config, "sip", "bind_address", address);
    linphone_config_set_string(config, "rtp", "bind_address", address);
    LinphoneCoreCbs *callbacks = linphone_factory_create_core_cbs(factory);
    linphone_core_cbs_set_call_state_changed(callbacks, changed);
    linphone_core_add_callbacks(core, callbacks);
    LinphoneTransports *transports = linphone_factory_create_transports(factory);
    linphone_transports_set_udp_port(transports, 5060);
    linphone_transports_set_tcp_port(transports, 0);
    linphone_transports_set_tls_port(transports, 0);
    linphone_core_set_transports(core, transports);
    linphone_core_set_use_files(core, 1);
    snprintf(path, sizeof path, "%s/tone.wav", folder);
    linphone_core_set_play_file(core, path);
    snprintf(path, sizeof path, "%s/heard.wav", folder);
    linphone_core_set_record_file(core, path);
    linphone_core_enable_echo_cancellation(core, 0);
    for (bctbx_list_t *at = linphone_core_get_audio_payload_types(core); at; at = at->next) {
        LinphonePayloadType *type = at->data;
        const char *name = linphone_payload_type_get_mime_type(type);
        linphone_payload_type_enable(type, !strcmp(name, "PCMU") || !strcmp(name, "telephone-event"));
    }
    return linphone_core_start(core) == 0 ? core : NULL;
}

int main(int count, char **words) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (count != 3 && count != 5) return 2;
    LinphoneCore *core = start(words[1], words[2]);
    if (!core) return 3;
    printf("READY liblinphone %s\n", linphone_core_get_version());
    if (count == 3) {
        int ended = run(core, LinphoneCallStateReleased, LONGEST_MS);
        linphone_core_stop(core);
        return ended ? 0 : 4;
    }
    char contact[256];
    snprintf(contact, sizeof contact, "sip:%s@%s", words[4], words[2]);
    linphone_core_set_primary_contact(core, contact);
    current = linphone_core_invite(core, words[3]);
    if (!current || !run(core, LinphoneCallStateStreamsRunning, LONGEST_MS)) return 5;
    run(core, LinphoneCallStateIdle, TALK_MS);
    if (linphone_call_pause(current) || !run(core, LinphoneCallStatePaused, LONGEST_MS)) return 6;
    run(core, LinphoneCallStateIdle, HOLD_MS);
    if (linphone_call_resume(current) || !run(core, LinphoneCallStateStreamsRunning, LONGEST_MS)) return 7;
    run(core, LinphoneCallStateIdle, HOLD_MS);
    linphone_call_terminate(current);
    int ended = run(core, LinphoneCallStateReleased, LONGEST_MS);
    linphone_core_stop(core);
    return ended ? 0 : 8;
}
