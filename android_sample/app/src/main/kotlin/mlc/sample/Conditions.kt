package mlc.sample

import android.content.Context
import android.net.ConnectivityManager
import android.net.NetworkCapabilities
import android.os.BatteryManager

/** The conditions of a channel that hold now: `wifi`, `charging`. */
fun conditionsNow(context: Context): Set<String> {
    val network = context.getSystemService(ConnectivityManager::class.java)
    val battery = context.getSystemService(BatteryManager::class.java)
    val wifi = network.getNetworkCapabilities(network.activeNetwork)
        ?.hasTransport(NetworkCapabilities.TRANSPORT_WIFI) ?: false
    return setOfNotNull("wifi".takeIf { wifi }, "charging".takeIf { battery.isCharging })
}
